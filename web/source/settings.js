// What `rilievo page` wrote into the page: version, models, colours and terms of measuring.

const found = JSON.parse(document.getElementById("page-settings").textContent);

export const settings = { ...found, colours: Uint8Array.from(atob(found.colours), (each) => each.charCodeAt(0)) };
