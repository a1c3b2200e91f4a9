import { useEffect, useState } from "react";

/** Shows the text of data-hint beside what is hovered or focused; \n begins a line. One for the whole page. */
export function Tips() {
  const [tip, setTip] = useState<{ text: string; x: number; y: number; up: boolean } | null>(null);
  useEffect(() => {
    const show = (event: Event) => {
      const at = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-hint]") : null;
      const text = at?.dataset.hint;
      if (!at || !text) return setTip(null);
      const box = at.getBoundingClientRect();
      const up = box.bottom > innerHeight - 140;
      setTip({ text, x: Math.min(Math.max(box.left, 8), innerWidth - 330), y: up ? innerHeight - box.top + 6 : box.bottom + 6, up });
    };
    const hide = () => setTip(null);
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && hide();
    document.addEventListener("mouseover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("mouseover", show);
      document.removeEventListener("focusin", show);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("scroll", hide, true);
      document.removeEventListener("keydown", onKey);
    };
  }, []);
  if (!tip) return null;
  return (
    <div role="tooltip" className="tip" style={{ left: Math.max(tip.x, 8), [tip.up ? "bottom" : "top"]: tip.y }}>
      {tip.text}
    </div>
  );
}
