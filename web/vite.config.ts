import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { pages } from "./pages";

export default defineConfig({
  plugins: [react(), pages()],
  build: {
    // Where clew serve looks; build.py in this folder moves it there when it is whole.
    outDir: process.env.CLEW_WEB_OUT ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 2000,
    assetsInlineLimit: 0, // the page may load nothing but files of the server
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": process.env.CLEW_URL ?? "http://127.0.0.1:6360" } },
});
