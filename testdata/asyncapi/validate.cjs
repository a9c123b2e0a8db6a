// Validates an AsyncAPI document from the standard input with the official parser,
// which has to be installed: npm install @asyncapi/parser.
const { Parser } = require("@asyncapi/parser");

(async () => {
  const { document, diagnostics } = await new Parser().parse(require("fs").readFileSync(0, "utf8"));
  for (const d of diagnostics) {
    console.error(d.severity === 0 ? "error" : "note", d.path.join("."), d.message);
  }
  if (!document || diagnostics.some((d) => d.severity === 0)) {
    process.exit(1);
  }
  console.log(`valid: ${document.allChannels().length} channels, ${document.allOperations().length} operations, ${document.allMessages().length} messages`);
})();
