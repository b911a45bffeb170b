// Mends what axe-core finds in the theme: keys do not reach wide tables, and the buttons of each
// block of code and each branch of a page's contents are landmarks without a name of their own.
const mend = () => {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) {
    wrap.tabIndex = wrap.scrollWidth > wrap.clientWidth ? 0 : -1;
  }
  for (const nav of document.querySelectorAll(".md-code__nav, .md-nav--secondary nav")) {
    nav.role = "none";
    nav.removeAttribute("aria-label"); // with a label it stays a landmark
  }
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", mend);
mend();
