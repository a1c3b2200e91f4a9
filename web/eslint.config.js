import hooks from "eslint-plugin-react-hooks";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["dist*", "node_modules", "public", "src/api/schema.d.ts"] },
  ...ts.configs.strict,
  hooks.configs.flat["recommended-latest"],
  {
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off", // an index that was just checked
      "react-hooks/refs": "off", // the latest callback is kept in a ref, so that a listener need not be made anew
      "react-hooks/set-state-in-effect": "off", // the text of a field follows the URL
      "react-hooks/incompatible-library": "off", // the virtual list is known to it, and works
    },
  },
);
