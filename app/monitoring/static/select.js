// Chosen rows: their number on the buttons, shift for all between two; the list stands still while some are chosen.
(() => {
  "use strict";
  let last = null;
  const boxes = () => [...document.querySelectorAll(".rows input[name=id]")];
  const told = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    for (const button of document.querySelectorAll(".bench [data-chosen]")) {
      button.dataset.all ??= button.textContent;
      button.hidden = chosen === 0 && button.dataset.all === "";
      button.textContent = chosen ? button.dataset.chosen.replace("#", chosen) : button.dataset.all;
    }
    for (const held of document.querySelectorAll("#live .held")) held.hidden = chosen === 0;
    for (const pulse of document.querySelectorAll("#live .pulse")) pulse.hidden = chosen > 0;
    const all = document.querySelector(".bench .all");
    if (all) {
      all.hidden = false;
      const box = all.querySelector("input");
      box.checked = chosen > 0 && chosen === boxes().length;
      box.indeterminate = chosen > 0 && !box.checked;
    }
  };
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.name !== "id") return;
    const found = boxes();
    const [from, to] = [found.indexOf(last), found.indexOf(box)].sort((one, other) => one - other);
    if (event.shiftKey && from >= 0) for (const each of found.slice(from, to + 1)) each.checked = box.checked;
    last = box;
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest?.(".bench .all")) for (const box of boxes()) box.checked = event.target.checked;
    told();
  });
  for (const step of ["htmx:before:request", "htmx:before:swap"]) {
    document.addEventListener(step, (event) => {
      if (event.target.id === "live" && boxes().some((box) => box.checked)) event.preventDefault();
    });
  }
  document.addEventListener("htmx:after:swap", () => {
    for (const button of document.querySelectorAll(".bench [data-all]")) delete button.dataset.all; // it counts anew
    told();
  });
  window.addEventListener("pageshow", told);
})();
