// A bar says since when nothing has been heard of the service, and goes when it is heard again.
(() => {
  "use strict";
  const SILENT = 10000, ASK = 4000; // milliseconds
  let heard = Date.now(), seen = heard, asked = heard, bar = null;
  const isLive = () => document.querySelector("#live[hx-get]") !== null;
  const show = () => {
    const now = Date.now(), lost = !document.hidden && now - Math.max(heard, seen) >= SILENT;
    document.documentElement.classList.toggle("lost", lost);
    if (!lost) {
      bar?.remove();
      bar = null;
    } else if (!bar) {
      bar = document.createElement("div");
      bar.className = "contact";
      bar.setAttribute("role", "alert");
      const since = document.createElement("time"); // times.js writes it for the reader
      since.dateTime = since.textContent = new Date(heard).toISOString();
      bar.append("No contact with the service since ", since, ". What stands here may be old.");
      document.body.prepend(bar);
    }
  };
  const hear = () => {
    heard = Date.now();
    show();
  };
  const ask = async () => {
    asked = Date.now();
    try {
      const answer = await fetch("/livez", { cache: "no-store", signal: AbortSignal.timeout(ASK) });
      if (answer.ok) hear();
    } catch {
      // silence is what is shown
    }
  };
  const look = () => {
    if (!document.hidden && !isLive() && Date.now() - asked >= ASK) ask();
    show();
  };
  document.addEventListener("htmx:after:swap", hear);
  document.addEventListener("visibilitychange", () => {
    seen = Date.now();
    look();
  });
  setInterval(look, 1000);
})();
