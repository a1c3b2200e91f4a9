export default function Run() {
  return <main className="notice">Run</main>;
}
