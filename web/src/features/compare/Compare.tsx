export default function Compare() {
  return <main className="notice">Compare</main>;
}
