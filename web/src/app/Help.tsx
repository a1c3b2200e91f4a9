import { Dialog } from "./Dialog";
import { activeKeys } from "./keys";

const NAMES: Record<string, string> = { " ": "Space", "mod+k": "⌘/Ctrl K", Enter: "Enter", Escape: "Esc", ArrowLeft: "←", ArrowRight: "→" };

/** The keys that work on this page. */
export function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Keyboard" close={close} className="help">
      <h2>Keyboard</h2>
      <div className="help-groups">
        {activeKeys().map(({ group, keys }) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {keys.map((key) => (
                <div key={key.key}>
                  <dt>
                    {key.key === " " || NAMES[key.key] ? (
                      <kbd>{NAMES[key.key]}</kbd>
                    ) : (
                      key.key.split(" ").map((one) => <kbd key={one}>{one}</kbd>)
                    )}
                  </dt>
                  <dd>{key.does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <p className="faint">
        Click a facet to include a value, Alt-click to exclude it. Hover or focus a dashed figure to read why it is not known.
      </p>
    </Dialog>
  );
}
