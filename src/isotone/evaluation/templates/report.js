"use strict";
(() => {
  const unfold = () => {
    const part = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (part && part.localName === "details") { part.open = true; part.scrollIntoView(); }
  };
  let printed = [];
  addEventListener("beforeprint", () => {
    printed = [...document.querySelectorAll("details.section:not([open])")];
    printed.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => printed.forEach((d) => { d.open = false; }));
  addEventListener("hashchange", unfold);
  // The same link again changes no hash, but its part may have been folded since.
  document.querySelectorAll("nav a").forEach((a) => a.addEventListener("click", () => setTimeout(unfold)));
  unfold();
  const holder = document.getElementById("viewer-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const at = (id) => document.getElementById(id);
  const image = at("image"), method = at("method"), strength = at("strength");
  const pixels = new Map();

  const stored = (shown) => {
    if (!pixels.has(shown)) {
      const text = atob(shown.pixels), bytes = new Uint8Array(text.length);
      for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
      const view = new DataView(bytes.buffer), values = new Uint16Array(bytes.length / 2);
      for (let i = 0; i < values.length; i++) values[i] = view.getUint16(2 * i, true);
      pixels.set(shown, values);
    }
    return pixels.get(shown);
  };

  // The curve as a table over 16 bits, part of the way from the identity.
  const table = (curve, share) => {
    const levels = new Float32Array(65536), last = curve ? curve.length - 1 : 0;
    for (let v = 0; v < 65536; v++) {
      const x = v / 65535;
      if (!curve) { levels[v] = x; continue; }
      const k = Math.min(Math.floor(x * last), last - 1), rest = x * last - k;
      levels[v] = (1 - share) * x + share * (curve[k] + rest * (curve[k + 1] - curve[k]));
    }
    return levels;
  };

  const draw = (canvas, shown, levels) => {
    const values = stored(shown), context = canvas.getContext("2d");
    canvas.width = shown.width;
    canvas.height = shown.height;
    const out = context.createImageData(shown.width, shown.height);
    for (let i = 0; i < values.length; i++) {
      const grey = Math.round(255 * levels[values[i]]);
      out.data.set([grey, grey, grey, 255], 4 * i);
    }
    context.putImageData(out, 0, 0);
  };

  const histogram = (shown, levels) => {
    const bins = new Float32Array(64), values = stored(shown);
    for (let i = 0; i < values.length; i++) bins[Math.min(63, Math.floor(64 * levels[values[i]]))]++;
    return bins.map((n) => n / values.length);
  };

  const path = (id, points) => at(id).setAttribute("d", "M" + points.map((p) => p.join(" ")).join("L"));
  const plot = (x, y) => [(30 + 200 * x).toFixed(1), (220 - 200 * y).toFixed(1)];
  const curvePath = (id, curve, share) =>
    path(id, curve.map((y, i) => { const x = i / (curve.length - 1); return plot(x, (1 - share) * x + share * y); }));
  const histogramPath = (id, bins, top) =>
    path(id, [...bins].map((n, i) => [(4 + 232 * (i + 0.5) / 64).toFixed(1), (76 - 70 * Math.min(1, n / top)).toFixed(1)]));

  const said = (shown, name) => {
    const p = shown.said[name];
    if (!p) return "refused";
    const best = p.indexOf(Math.max(...p));
    return `the classifier says ${data.classes[best]} (${Math.round(100 * p[best])} %)`;
  };

  const describe = (shown) => {
    const list = at("numbers");
    list.replaceChildren();
    for (const [name, value] of Object.entries(shown.numbers[method.value] || {})) {
      for (const [kind, text] of [["dt", name], ["dd", value]]) {
        const item = document.createElement(kind);
        item.textContent = text;
        list.append(item);
      }
    }
    at("no-numbers").hidden = list.childElementCount > 0;
  };

  const move = () => {
    const shown = data.images[image.value], share = strength.value / 100;
    const curve = shown.curves[method.value], levels = table(curve, share), identity = table(null, 0);
    at("strength-text").textContent = strength.value + " %";
    curvePath("curve-now", curve || [0, 1], curve ? share : 0);
    curvePath("curve-full", curve || [0, 1], 1);
    if (!shown.pixels) return;
    draw(at("harmonized"), shown, levels);
    const before = histogram(shown, identity), after = histogram(shown, levels);
    const twin = data.references[shown.reference];
    const reference = twin ? histogram(twin, identity) : null;
    const heights = [...before, ...after, ...(reference || [])].filter((n) => n > 0).sort((a, b) => a - b);
    const top = 1.15 * heights[Math.floor(0.95 * (heights.length - 1))];
    histogramPath("histogram-source", before, top);
    histogramPath("histogram-harmonized", after, top);
    if (reference) histogramPath("histogram-reference", reference, top);
  };

  const choose = () => {
    const shown = data.images[image.value];
    for (const option of method.options) option.disabled = !(option.value in shown.curves);
    if (method.selectedOptions[0] && method.selectedOptions[0].disabled) {
      method.value = Object.keys(shown.curves)[0] || method.value;
    }
    describe(shown);
    if (shown.pixels) {
      draw(at("source"), shown, table(null, 0));
      at("source-text").textContent = `Before: ${shown.domain}, label ${shown.label}; ${said(shown, "none")}`;
      at("harmonized-text").textContent = `After “${method.value}”: ${said(shown, method.value)}`;
      const twin = data.references[shown.reference];
      at("reference-frame").hidden = !twin;
      if (twin) {
        draw(at("reference"), twin, table(null, 0));
        at("reference-text").textContent = "Target, another image: " + twin.title;
      }
    }
    move();
  };

  for (const canvas of document.querySelectorAll("canvas.case")) {
    const shown = data.images[canvas.dataset.image];
    draw(canvas, shown, canvas.dataset.part === "after" ? table(shown.curves[method.value], 1) : table(null, 0));
  }

  image.addEventListener("change", choose);
  method.addEventListener("change", choose);
  strength.addEventListener("input", move);
  choose();
})();
