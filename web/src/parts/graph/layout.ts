/** ELK in a worker of its own, which is loaded with the first graph. */

import ELK from "elkjs/lib/elk-api";
import worker from "elkjs/lib/elk-worker.min.js?url";
import { type Direction, type Drawn, type Placed, placed, question } from "./shape";

let elk: InstanceType<typeof ELK> | undefined;

export async function layout(of: Drawn, direction: Direction): Promise<Placed> {
  elk ??= new ELK({ workerUrl: worker });
  return placed(await elk.layout(question(of, direction)));
}
