"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const SVG = "http://www.w3.org/2000/svg";

  document.querySelectorAll("figure[data-plot]").forEach((figure) => {
    const readings = JSON.parse(figure.querySelector("script").textContent);
    const plot = figure.querySelector(".plot");
    const svg = plot.querySelector("svg");
    const cursor = svg.querySelector(".cursor");
    const reading = figure.querySelector(".reading");
    const series = [...svg.querySelectorAll("g[data-series]")];
    const buttons = [...figure.querySelectorAll(".legend button")];
    const hint = reading.textContent;
    const dots = series.map((group) => {
      const dot = document.createElementNS(SVG, "circle");
      dot.setAttribute("r", 5);
      dot.setAttribute("class", "fill off");
      group.append(dot);
      return dot;
    });
    let place = -1;

    const show = (index) => {
      place = index;
      const now = readings[index];
      cursor.classList.toggle("off", !now);
      reading.textContent = now ? `${figure.dataset.x} = ${now.x}` : hint;
      if (now) ["x1", "x2"].forEach((end) => cursor.setAttribute(end, now.at));
      buttons.forEach((button, i) => {
        const value = now && now.values[i];
        button.querySelector(".at").textContent = value ? value[0] : "";
        dots[i].classList.toggle("off", !value);
        if (value) { dots[i].setAttribute("cx", now.at); dots[i].setAttribute("cy", value[1]); }
      });
    };
    const nearest = (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      let best = -1;
      readings.forEach((one, i) => {
        if (best < 0 || Math.abs(one.at - at) < Math.abs(readings[best].at - at)) best = i;
      });
      show(best);
    };
    plot.addEventListener("pointermove", nearest);
    plot.addEventListener("pointerdown", nearest);
    plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(-1); });
    plot.addEventListener("blur", () => show(-1));
    plot.addEventListener("keydown", (event) => {
      const last = readings.length - 1;
      const to = {
        ArrowLeft: place < 0 ? last : Math.max(place - 1, 0),
        ArrowRight: Math.min(place + 1, last), Home: 0, End: last, Escape: -1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(to);
    });
    buttons.forEach((button, i) => button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      series[i].classList.toggle("off", !on);
    }));
  });

  document.querySelectorAll(".command").forEach((box) => {
    const button = box.querySelector("button");
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(box.querySelector("code").textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select and copy";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  });
});
