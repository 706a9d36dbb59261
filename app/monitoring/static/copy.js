// Adds a button to whatever has `data-copy`, which copies its text. What a swap takes away comes back as it was.
"use strict";
(() => {
  const buttons = new WeakMap();
  const said = document.createElement("p");
  said.className = "hidden";
  said.setAttribute("aria-live", "polite");
  document.body.append(said);
  let focused = null;
  document.addEventListener("focusin", (event) => { focused = event.target; });

  async function copy(block, button) {
    try {
      await navigator.clipboard.writeText(block.textContent);
    } catch { // it is there in secure contexts only
      getSelection().selectAllChildren(block);
      if (!document.execCommand("copy")) return;
    }
    said.textContent = `Copied: ${block.getAttribute("aria-label") || "text"}`;
    button.firstChild.data = "Copied";
    setTimeout(() => { button.firstChild.data = "Copy"; said.textContent = ""; }, 2000);
  }

  function add() {
    for (const block of document.querySelectorAll("[data-copy]")) {
      let button = buttons.get(block);
      if (!button) {
        const of = document.createElement("span");
        of.className = "hidden";
        of.textContent = ` ${block.getAttribute("aria-label") || ""}`;
        button = document.createElement("button");
        button.type = "button";
        button.className = "copies";
        button.append("Copy", of);
        button.addEventListener("click", () => copy(block, button));
        buttons.set(block, button);
      }
      if (block.nextSibling === button) continue;
      const had = focused === button && document.activeElement === document.body;
      block.after(button);
      if (had) button.focus();
    }
  }

  new MutationObserver(add).observe(document.body, { childList: true, subtree: true });
  add();
})();
