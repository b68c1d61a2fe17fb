// Parses each LogQL query of a JSON list on stdin; prints a JSON list: null, or where the first error of the query is.
const { parser } = require("@grafana/lezer-logql");

let text = "";
process.stdin.on("data", (part) => (text += part));
process.stdin.on("end", () => {
  const places = JSON.parse(text).map((query) => {
    let place = null;
    parser.parse(query).iterate({
      enter: (node) => {
        if (node.type.isError && place === null) place = node.from;
      },
    });
    return place;
  });
  console.log(JSON.stringify(places));
});
