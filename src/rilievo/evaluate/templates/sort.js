// Headings of tables that may be sorted become buttons; without scripts the tables stay as they are.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => {
        const text = row.cells[column].textContent.trim();
        const number = Number(text.replaceAll(",", ""));
        return { row, text, number: text === "–" || text === "" ? null : number };
      });
      rows.sort((a, b) => {
        if (a.number === null || b.number === null) return (a.number === null) - (b.number === null);
        const order = Number.isNaN(a.number) || Number.isNaN(b.number)
          ? a.text.localeCompare(b.text, undefined, { numeric: true }) : a.number - b.number;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows.map(({ row }) => row));
    });
  });
}
