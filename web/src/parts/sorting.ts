/** The order of a table's rows, as the address says it: "cost" from the most down, "cost.up" from the least up. */

/** What a column is sorted by; null, where it is not known, comes last in either direction. */
export type Sortable<Row> = { title: string; sort?: (row: Row) => number | null };
export type Sort = { by: string; up: boolean };

const nameOf = (title: string) => title.toLowerCase().replace(/[^a-z0-9]+/g, "-");

export function readSort(text: string | undefined): Sort | undefined {
  const [by, way] = (text ?? "").split(".");
  return by ? { by, up: way === "up" } : undefined;
}

export const isSortedBy = (sort: Sort | undefined, title: string) => sort?.by === nameOf(title);

/** What a click on the column's head leads to: the most first, then the least first, then the order in which the rows came. */
export function nextSort(text: string | undefined, title: string): string | undefined {
  const sort = readSort(text);
  if (!isSortedBy(sort, title)) return nameOf(title);
  return sort?.up ? undefined : `${nameOf(title)}.up`;
}

/** The rows in that order; those alike stay as they were. A column that does not exist changes nothing. */
export function inOrder<Row>(rows: Row[], columns: Sortable<Row>[], text: string | undefined): Row[] {
  const sort = readSort(text);
  const value = columns.find((column) => column.sort && isSortedBy(sort, column.title))?.sort;
  if (!sort || !value) return rows;
  return rows
    .map((row) => ({ row, of: value(row) }))
    .sort((a, b) => Number(a.of === null) - Number(b.of === null) || ((a.of ?? 0) - (b.of ?? 0)) * (sort.up ? 1 : -1))
    .map(({ row }) => row);
}
