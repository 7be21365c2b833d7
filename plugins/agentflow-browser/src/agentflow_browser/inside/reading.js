// The main text of a document as markdown, plain text or HTML, with its links; stops after `limit` characters.
({format, limit, links: mostLinks}) => {
  const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "SVG", "CANVAS", "IFRAME", "OBJECT", "EMBED", "DATALIST"]);
  const CHROME = new Set(["NAV", "HEADER", "FOOTER", "ASIDE"]);
  const BLOCKS = new Set(["P", "DIV", "SECTION", "ARTICLE", "MAIN", "FORM", "FIELDSET", "FIGURE", "FIGCAPTION", "ADDRESS", "DL", "DETAILS", "SUMMARY", "HEADER", "FOOTER", "NAV", "ASIDE", "DIALOG", "BODY", "CENTER"]);
  const markdown = format === "markdown";
  const body = document.body || document.documentElement;
  if (!body) return {text: "", links: [], more: false};
  const mains = [...document.querySelectorAll("main, [role=main], article")].filter(el => el.checkVisibility() && el.innerText.trim().length > 200);
  const root = mains.length === 1 || (mains.length > 1 && mains[0].contains(mains[mains.length - 1])) ? mains[0] : document.querySelector("main, [role=main]") || body;
  const links = [], seen = new Set();
  let out = "", more = false, visited = 0;

  if (format === "html") {
    const html = root.outerHTML;
    return {text: html.slice(0, limit), links: [], more: html.length > limit};
  }
  const flat = text => text.replace(/[\s\u200b\ufeff]+/g, " ");
  const put = text => { if (!text) return; if (out.length + text.length > limit) { more = true; text = text.slice(0, limit - out.length); } out += text; };
  const inline = text => { const said = flat(text); put(/[\s(\[]$/.test(out) || !out ? said.replace(/^ /, "") : said); };
  const lines = count => { out = out.replace(/[ \t]+$/, ""); const have = /\n*$/.exec(out)[0].length; if (out && have < count) put("\n".repeat(count - have)); };
  const hidden = el => { const style = getComputedStyle(el); return style.display === "none" || style.visibility === "hidden" || el.getAttribute("aria-hidden") === "true" || (style.display !== "contents" && !el.checkVisibility()); };
  const kids = el => el.tagName === "SLOT" && el.assignedNodes().length ? el.assignedNodes() : el.shadowRoot ? el.shadowRoot.childNodes : el.childNodes;
  const cellText = el => flat(el.innerText).trim().replace(/\|/g, "\\|");

  function all(el, context) { for (const child of kids(el)) { if (more) return; go(child, context); } }

  function go(node, context) {
    if (more || ++visited > 200000) { more = true; return; }
    if (node.nodeType === 3) { if (context.pre) put(node.data); else inline(node.data); return; }
    if (node.nodeType !== 1) return;
    const tag = node.tagName.toUpperCase();
    if (SKIPPED.has(tag) || hidden(node)) return;
    if (root === body && CHROME.has(tag) && mainText) return;
    if (/^H[1-6]$/.test(tag)) { lines(2); if (markdown) put("#".repeat(+tag[1]) + " "); all(node, context); lines(2); return; }
    switch (tag) {
      case "BR": lines(0); put("\n"); return;
      case "HR": lines(2); if (markdown) put("---"); lines(2); return;
      case "IMG": if (node.alt) inline(markdown ? `![${flat(node.alt)}]` : node.alt); return;
      case "INPUT": if (!["hidden", "password"].includes(node.type) && node.value) inline(` ${node.value} `); return;
      case "TEXTAREA": inline(node.value); return;
      case "SELECT": inline([...node.selectedOptions].map(option => option.label).join(", ")); return;
      case "PRE": lines(2); if (markdown) put("```\n"); put(node.innerText.replace(/\n$/, "")); if (markdown) put("\n```"); lines(2); return;
      case "BLOCKQUOTE": { lines(2); const from = out.length; all(node, context); if (markdown) out = out.slice(0, from) + "> " + out.slice(from).trim().replace(/\n/g, "\n> "); lines(2); return; }
      case "UL": case "OL": {
        lines(context.list ? 1 : 2);
        let number = node.start || 1;
        for (const child of kids(node)) {
          if (child.nodeType !== 1 || hidden(child)) continue;
          lines(1);
          put("  ".repeat(context.list || 0) + (tag === "OL" ? `${number++}. ` : "- "));
          all(child, {...context, list: (context.list || 0) + 1});
        }
        lines(context.list ? 1 : 2);
        return;
      }
      case "DT": lines(2); all(node, context); lines(1); return;
      case "DD": lines(1); put(markdown ? ": " : ""); all(node, context); lines(1); return;
      case "TABLE": {
        const rows = [...node.rows].filter(row => !hidden(row));
        if (rows.some(row => row.querySelector("table"))) { all(node, context); return; }
        lines(2);
        if (node.caption) { put(flat(node.caption.innerText).trim()); lines(2); }
        rows.forEach((row, index) => {
          const cells = [...row.cells].map(cellText);
          for (const link of row.querySelectorAll("a[href]")) note(link);
          put(markdown ? `| ${cells.join(" | ")} |` : cells.join("\t")); lines(1);
          if (markdown && index === 0) { put("|" + " --- |".repeat(cells.length)); lines(1); }
        });
        lines(2);
        return;
      }
      case "A": {
        const href = note(node);
        if (!markdown || !href || node.querySelector("h1,h2,h3,h4,h5,h6,p,div,ul,table")) { all(node, context); return; }
        const said = flat(node.innerText).trim() || (node.querySelector("img") || {}).alt || "";
        if (!said) return;
        inline((/^\s/.test(node.textContent) ? " " : "") + `[${said}](${href})`);
        return;
      }
      case "STRONG": case "B": case "EM": case "I": case "CODE": {
        const said = flat(node.innerText).trim();
        if (!markdown || !said || node.querySelector("a,div,p")) { all(node, context); return; }
        const mark = tag === "CODE" ? "`" : tag === "EM" || tag === "I" ? "*" : "**";
        inline(`${/^\s/.test(node.textContent) ? " " : ""}${mark}${said}${mark}${/\s$/.test(node.textContent) ? " " : ""}`);
        return;
      }
    }
    const display = BLOCKS.has(tag) ? "block" : getComputedStyle(node).display;
    const block = BLOCKS.has(tag) || /^(block|flex|grid|list-item|table)/.test(display);
    const gap = tag === "P" ? 2 : 1;
    if (block) lines(gap);
    all(node, context);
    if (block) lines(gap);
  }

  function note(link) {
    const href = link.href && typeof link.href === "string" ? link.href : "";
    if (!href || href.startsWith("javascript:")) return "";
    const text = flat(link.innerText || link.getAttribute("aria-label") || "").trim().slice(0, 200);
    const key = href + "\n" + text;
    if (links.length < mostLinks && !seen.has(key)) { seen.add(key); links.push({text, url: href}); }
    return href;
  }

  const mainText = [...body.children].some(el => !CHROME.has(el.tagName) && !SKIPPED.has(el.tagName) && (el.innerText || "").trim().length > 400);
  all(root, {});
  return {text: out.trim(), links, more};
}
