export default function Now() {
  return <main className="notice">Now</main>;
}
