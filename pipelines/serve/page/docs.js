"use strict";
// The OpenAPI description for people to read.
const make = (tag, text = "") => Object.assign(document.createElement(tag), {textContent: text});

function example(path, method, content) {
  const address = `${location.origin}${path}`, form = content["multipart/form-data"];
  if (method === "get") return `curl ${address}`;
  const more = (form?.schema.required ?? []).filter((name) => name !== "file").map((name) => `-F ${name}="a dog runs" `);
  if (form) return `curl -F file=@photo.jpg ${more.join("")}${address}`;
  return `curl --json '{"texts": ["A dog runs on the grass."]}' ${address}`;
}

function type({type: name, anyOf = [], items}) {
  if (name === "array") return `list of ${items.type}`;
  return name ?? anyOf.map((each) => each.type).filter((each) => each !== "null").join(" or ");
}

function options(schema) {
  const table = make("table"), head = make("tr");
  head.append(...["name", "type", "what"].map((each) => Object.assign(make("th", each), {scope: "col"})));
  table.append(head);
  for (const [name, each] of Object.entries(schema.properties)) {
    const row = make("tr");
    row.append(make("td", name), make("td", type(each)), make("td", each.description ?? ""));
    table.append(row);
  }
  return table;
}

async function show() {
  const {paths} = await (await fetch("/openapi.json")).json();
  for (const [path, methods] of Object.entries(paths))
    for (const [method, about] of Object.entries(methods)) {
      const content = about.requestBody?.content ?? {}, forms = Object.keys(content);
      document.querySelector("#paths").append(
        make("h2", `${method.toUpperCase()} ${path}`), make("p", `${about.summary}.`), make("pre", example(path, method, content)),
        ...forms.flatMap((form) => [make("p", form), options(content[form].schema)]),
      );
    }
}
show();
