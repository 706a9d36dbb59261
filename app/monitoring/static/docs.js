"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
paint();
dark.addEventListener("change", paint);

// Names and a way in by keyboard, where Swagger UI has none.
function complete(root) {
  for (const field of root.querySelectorAll(":is(select, textarea, td input):not([aria-label])"))
    field.setAttribute(
      "aria-label",
      field.closest("[data-param-name]")?.dataset.paramName ?? (field.matches("select") ? "Example" : "Body"),
    );
  for (const table of root.querySelectorAll("table[role=region]:not([aria-label])"))
    table.setAttribute("aria-label", `Responses of ${table.closest(".opblock").id}`);
  for (const text of root.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0;
  for (const [where, name] of [[".close-modal", "Close"], [".copy-to-clipboard button", "Copy"]])
    for (const button of root.querySelectorAll(`${where}:not([aria-label])`)) button.setAttribute("aria-label", name);
}

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("swagger-ui");
  new MutationObserver(() => complete(root)).observe(root, { childList: true, subtree: true });
  SwaggerUIBundle({
    domNode: root,
    url: "/openapi.json",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    syntaxHighlight: { theme: "tomorrow-night" },
    validatorUrl: null,
    plugins: [{ components: { InfoContainer: () => null, DeepLink: ({ text }) => text } }],
  });
});
