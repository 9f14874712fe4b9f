"use strict";
// Three filters over the rows: an experiment (its lines alone are shown then), a framework, and words.
(() => {
  const rows = [...document.querySelectorAll("#runs tbody tr")];
  const form = document.querySelector(".filters");
  const [experiment, framework, words] = ["experiment", "framework", "words"].map((id) => document.getElementById(id));
  const count = document.getElementById("count");
  const measured = [...document.querySelectorAll("#runs thead th.measured button")];
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const lines = new Map(rows.map((row) => [row, [...row.querySelectorAll("li[data-experiment]")]]));

  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits =
        (!experiment.value || row.dataset.experiments.split(" ").includes(experiment.value)) &&
        (!framework.value || row.dataset.frameworks.split(" ").includes(framework.value)) &&
        wanted.every((word) => text.get(row).includes(word));
      row.hidden = !fits;
      shown += fits;
      for (const line of lines.get(row)) {
        line.hidden = experiment.value !== "" && line.dataset.experiment !== experiment.value;
        // A column of one experiment's values can be sorted; one of several experiments' cannot.
        if (!line.hidden && experiment.value && "value" in line.dataset)
          line.closest("td").dataset.value = line.dataset.value;
        else if (line.closest("td.measured") && (!experiment.value || !line.hidden))
          delete line.closest("td").dataset.value;
      }
    }
    for (const button of measured) {
      button.disabled = !experiment.value;
      if (button.disabled) button.closest("th").setAttribute("aria-sort", "none");
    }
    count.textContent = shown === rows.length ? `${shown} runs` : `${shown} of ${rows.length} runs`;
  };

  form.hidden = false;
  for (const event of ["input", "change"]) form.addEventListener(event, show);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("pageshow", show); // a browser may bring back what was chosen before
  show();
})();
