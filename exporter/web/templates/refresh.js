// Puts the page's newest content in place of the old, without a reload that would lose the scroll
// position, the focus or a selection. Without this script the page reloads itself.
"use strict";
const seconds = Number(document.currentScript.dataset.seconds) || 5;
const parts = ["main", ".meta", 'link[rel="icon"]'];

// What can have the focus, and by what it is known again in the newest content.
const reachable = () => [...document.querySelectorAll("a, .scroll")];
const known = (each) => `${each.tagName} ${each.getAttribute("href") || each.getAttribute("aria-label")}`;

async function refresh() {
  try {
    if (document.hidden || String(getSelection())) return;
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const scrolled = [...document.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    const focused = document.activeElement;
    const alike = reachable().filter((each) => known(each) === known(focused));
    const place = alike.indexOf(focused);
    for (const part of parts) {
      const [old, now] = [document, page].map((one) => one.querySelector(part));
      if (old && now) old.replaceWith(now);
    }
    document.title = page.title;
    document.querySelectorAll(".scroll").forEach((each, at) => {
      each.scrollLeft = scrolled[at] || 0;
    });
    if (place >= 0 && !focused.isConnected) {
      const now = reachable().filter((each) => known(each) === known(focused))[place];
      if (now) now.focus({ preventScroll: true });
    }
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost"); // what stands there is old
  }
}

// Told by the server what is news and when; asked by the clock while it does not tell.
const events = new EventSource("/events");
events.onmessage = refresh;
setInterval(() => events.readyState === EventSource.OPEN || refresh(), seconds * 1000);
