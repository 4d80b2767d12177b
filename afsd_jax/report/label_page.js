"use strict";
fetch("/api/project")
  .then((answer) => answer.json())
  .then(({ videos }) => {
    const list = document.createElement("ul");
    for (const { number, name } of videos) {
      const item = document.createElement("li");
      item.textContent = `${number}: ${name}`;
      list.append(item);
    }
    document.getElementById("label").append(list);
  });
