// Puts the page's newest content in place of the old, without a reload that would lose the scroll
// position, the focus or a selection. Without this script the page reloads itself.
"use strict";
const seconds = Number(document.currentScript.dataset.seconds) || 5;
const parts = ["main", ".meta", 'link[rel="icon"]'];

async function refresh() {
  try {
    if (document.hidden || String(getSelection())) return;
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const scrolled = [...document.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    const label = document.activeElement && document.activeElement.getAttribute("aria-label");
    for (const part of parts) {
      const [old, now] = [document, page].map((one) => one.querySelector(part));
      if (old && now) old.replaceWith(now);
    }
    document.title = page.title;
    document.querySelectorAll(".scroll").forEach((each, at) => {
      each.scrollLeft = scrolled[at] || 0;
      if (label && each.getAttribute("aria-label") === label) each.focus({ preventScroll: true });
    });
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost"); // what stands there is old
  }
}

// Told by the server what is news and when; asked by the clock while it does not tell.
const events = new EventSource("/events");
events.onmessage = refresh;
setInterval(() => events.readyState === EventSource.OPEN || refresh(), seconds * 1000);
