// Select a text that is there to be copied, so that one keystroke copies it.
for (const field of document.querySelectorAll("input[data-selected]")) {
  field.focus();
  field.select();
  field.addEventListener("focus", () => field.select());
}
