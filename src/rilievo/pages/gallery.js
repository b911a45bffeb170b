// Without this script every image stands beside its others, in the dataset's order.
const controls = document.getElementById("controls");
const list = document.getElementById("cards");
const cards = [...list.children];
const control = (id) => document.getElementById(id);
const value = (card, key) => {
  const text = card.getAttribute(`data-${key}`);
  return text === null ? null : Number(text);
};

function arrange() {
  const [key, way] = control("sort").value.split(":");
  const order = [...cards].sort((a, b) => {
    const one = value(a, key), other = value(b, key);
    // Images without this number come last, whichever way.
    if (one === null || other === null) return (one === null) - (other === null);
    return way === "up" ? one - other : other - one;
  });
  list.append(...order);
}

function sift() {
  const key = control("sift").value, part = control("name").value.trim().toLowerCase();
  const ends = ["least", "most"].map((id) => (control(id).value === "" ? null : Number(control(id).value)));
  control("least").disabled = control("most").disabled = key === "";
  let shown = 0;
  for (const card of cards) {
    const number = key === "" ? 0 : value(card, key);
    const inside = key === "" || (number !== null
      && (ends[0] === null || number >= ends[0]) && (ends[1] === null || number <= ends[1]));
    card.hidden = !inside || !card.getAttribute("data-name").toLowerCase().includes(part);
    shown += !card.hidden;
  }
  control("shown").value = `${shown === cards.length ? "" : `${shown} of `}${cards.length} ${cards.length === 1 ? "image" : "images"}`;
}

function show(card) {
  card.querySelector(".stage")?.remove();
  const made = control("mode").value === "slide"
    ? stage(card, [control("left").value, control("right").value]) : null;
  // A card that lacks one of the two pictures keeps all that it has.
  card.querySelector(".panels").hidden = made !== null;
  if (made) card.querySelector("h2").after(made);
}

// Only what is near the window is rebuilt, so that thousands of cards stay quick.
let near = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) { near.add(entry.target); show(entry.target); } else near.delete(entry.target);
  }
}, { rootMargin: "600px" });

function change() {
  const slides = control("mode").value === "slide";
  control("left").disabled = control("right").disabled = !slides;
  near.forEach(show);
}

controls.hidden = false;
controls.addEventListener("submit", (event) => event.preventDefault());
control("sort").addEventListener("change", arrange);
["sift", "least", "most", "name"].forEach((id) => control(id).addEventListener("input", sift));
["mode", "left", "right"].forEach((id) => control(id).addEventListener("change", change));
cards.forEach((card) => watcher.observe(card));
arrange();
sift();
change();
