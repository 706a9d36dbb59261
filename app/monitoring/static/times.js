// Shows times in the reader's zone, and those of class `ago` as how long ago. The server writes UTC, and so does
// each swap: whatever it puts back is written anew before it is painted.
"use strict";
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const footer = document.getElementById("zone");
  const asked = "times-in-utc";
  let inUtc = zone === "UTC" || stored() === "yes";

  function stored() {
    try { return localStorage.getItem(asked); } catch { return null; }
  }

  function store(value) {
    try { localStorage.setItem(asked, value); } catch { /* it is asked again then */ }
  }

  function exact(at) {
    const here = new Date(at - (inUtc ? 0 : at.getTimezoneOffset() * 60000)).toISOString();
    return `${here.slice(0, 10)} ${here.slice(11, 19)}${inUtc ? "Z" : ""}`;
  }

  function offset(at) {
    const minutes = -at.getTimezoneOffset();
    const two = (number) => String(Math.trunc(number)).padStart(2, "0");
    return `UTC${minutes < 0 ? "−" : "+"}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
  }

  function ago(at) {
    const seconds = (Date.now() - at) / 1000;
    const size = Math.abs(seconds);
    if (size < 5) return "just now";
    const [unit, name] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => size >= each);
    const told = `${Math.floor(size / unit)} ${name}`;
    return seconds < 0 ? `in ${told}` : `${told} ago`;
  }

  function relate(time, at) {
    const told = exact(at) + (inUtc ? "" : ` (${offset(at)})`);
    let [words, full] = time.childNodes;
    if (!full?.classList?.contains("exact")) {
      full = document.createElement("span");
      full.className = "exact";
      words = document.createTextNode("");
      time.replaceChildren(words, full);
    }
    if (words.data !== ago(at)) words.data = ago(at);
    if (full.textContent !== ` ${told}`) full.textContent = ` ${told}`;
    if (!time.closest("a, button")) time.tabIndex = 0; // the exact time is shown on focus, too
    time.removeAttribute("title");
  }

  function clock(at) {
    const told = exact(at).slice(0, 16), day = exact(new Date()).slice(0, 10);
    return (told.startsWith(day) ? told.slice(11) : told) + (inUtc ? " UTC" : "");
  }

  function show(times) {
    for (const time of times) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      if (time.classList.contains("ago")) relate(time, at);
      else {
        const told = time.classList.contains("clock") ? clock(at) : exact(at);
        if (time.textContent !== told) time.textContent = told;
      }
    }
  }

  function showAll() {
    show(document.querySelectorAll("time[datetime]"));
    changes.takeRecords();
  }

  function tell() {
    const now = inUtc ? "UTC" : `in ${zone.replaceAll("_", " ")} (${offset(new Date())})`;
    footer.textContent = `Times are ${now}.`;
    if (zone === "UTC") return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "zone";
    button.textContent = inUtc ? `Show ${zone.replaceAll("_", " ")}` : "Show UTC";
    button.addEventListener("click", () => {
      inUtc = !inUtc;
      store(inUtc ? "yes" : "no");
      tell();
      showAll();
      footer.querySelector("button").focus();
    });
    footer.append(" ", button);
  }

  const changes = new MutationObserver(showAll);
  changes.observe(document.body, { childList: true, characterData: true, subtree: true });
  tell();
  showAll();
  setInterval(() => { if (!document.hidden) show(document.querySelectorAll("time.ago")); }, 5000);
})();
