import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError, writeKey } from "../api/client";

/** What a page shows when it cannot be shown. */
export function Broken({ error }: { error: unknown }) {
  return (
    <main className="notice">
      <Trouble error={error instanceof Error ? error : new Error(String(error))} />
      <p>
        <button type="button" className="button" onClick={() => location.reload()}>
          Load again
        </button>
      </p>
    </main>
  );
}

export function Missing() {
  return (
    <main className="notice">
      <h1>There is no such page</h1>
      <p>
        <Link to="/">Go to the first one</Link>
      </p>
    </main>
  );
}

/** Why a question has no answer; asks for a key where one is missing. */
export function Trouble({ error }: { error: Error }) {
  if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return <AskForKey message={error.message} />;
  return (
    <div role="alert" className="trouble">
      <strong>{error instanceof ApiError && error.status === 404 ? "Not found" : "This cannot be shown"}</strong>
      <pre>{error.message}</pre>
    </div>
  );
}

function AskForKey({ message }: { message: string }) {
  const [key, setKey] = useState("");
  return (
    <form
      className="trouble"
      onSubmit={(event) => {
        event.preventDefault();
        writeKey(key.trim());
        location.reload();
      }}
    >
      <label htmlFor="api-key">
        <strong>This server asks for a key.</strong> {message}
      </label>
      <p>
        <input
          id="api-key"
          className="field"
          type="password"
          autoComplete="off"
          value={key}
          onChange={(event) => setKey(event.target.value)}
        />{" "}
        <button type="submit" className="button">
          Use it
        </button>
      </p>
      <p className="faint">
        <code>clew keys add NAME --role view</code> makes one. It stays in this tab only.
      </p>
    </form>
  );
}
