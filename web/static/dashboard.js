// Comfort only: times of the visitor's zone, newest runs in view, a fresh page now and then.
const forms = {
  full: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
  day: { day: "numeric", month: "short" },
  hour: { hour: "2-digit", minute: "2-digit" },
};
for (const time of document.querySelectorAll("time[datetime]")) {
  const form = forms[time.dataset.form || "full"];
  time.title = time.textContent;
  time.textContent = new Date(time.dateTime).toLocaleString("en-GB", form);
}
for (const table of document.querySelectorAll(".scrolling > .heat")) {
  table.parentElement.scrollLeft = table.scrollWidth;
}
const minutesUntilReload = 5;
setInterval(() => {
  const isInUse = document.querySelector("details[open]") || document.activeElement?.matches("input");
  if (!isInUse && !document.hidden && document.querySelector(".verdict")) location.reload();
}, minutesUntilReload * 60_000);
