import { useRef, useState } from "react";
import { useView } from "../app/view";
import { forget, readSaved, save } from "./saved";

/** The menu of named views: to go to one, to keep this one, to forget one. */
export function SavedViews({ page }: { page: string }) {
  const [view, setView] = useView();
  const [views, setViews] = useState(readSaved);
  const [name, setName] = useState("");
  const menu = useRef<HTMLDetailsElement>(null);
  const here = Object.entries(views).filter(([, saved]) => saved.page === page);
  return (
    <details
      className="saved"
      ref={menu}
      onKeyDown={(event) => {
        if (event.key === "Escape" && menu.current) menu.current.open = false;
      }}
    >
      <summary className="button">Views{here.length > 0 && <span className="faint">{here.length}</span>}</summary>
      <div className="saved-menu">
        {here.map(([title, saved]) => (
          <div key={title} className="saved-row">
            <button
              type="button"
              className="cut"
              onClick={() => {
                setView({ filter: saved.filter || undefined, time: saved.time || undefined });
                if (menu.current) menu.current.open = false;
              }}
            >
              {title} <span className="faint mono">{saved.filter}</span>
            </button>
            <button
              type="button"
              aria-label={`Forget ${title}`}
              onClick={() => {
                forget(title);
                setViews(readSaved());
              }}
            >
              ×
            </button>
          </div>
        ))}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (!name.trim()) return;
            save(name.trim(), { page, filter: view.filter ?? "", time: view.time ?? "" });
            setViews(readSaved());
            setName("");
          }}
        >
          <input
            className="field"
            aria-label="Name of this view"
            placeholder="Name this view"
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
          <button type="submit" className="button">
            Save
          </button>
        </form>
      </div>
    </details>
  );
}
