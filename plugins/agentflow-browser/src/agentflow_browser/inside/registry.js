// What a document shows, as lines of an accessibility tree, and which element each reference of it means.
// Evaluates to an object that Python holds by its handle; nothing of it is visible to the page.
() => {
  const NAME_CHARS = 200;
  const TEXT_CHARS = 4000;
  const OPTIONS = 50;
  const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "META", "LINK", "TITLE", "BASE", "PARAM", "SOURCE", "TRACK", "DATALIST"]);
  const INLINE = new Set(["inline", "contents", "ruby", "inline-block", "inline-flex", "inline-grid"]);
  const FROM_CONTENT = new Set(["button", "link", "heading", "checkbox", "radio", "switch", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "treeitem", "tooltip"]);
  const ACTIVE = new Set(["button", "link", "textbox", "searchbox", "spinbutton", "slider", "checkbox", "radio", "switch", "combobox", "listbox", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "treeitem", "file"]);
  const STRUCTURE = new Set(["heading", "img", "iframe", "dialog", "alertdialog", "table", "grid", "list", "form", "search", "region", "main", "navigation", "banner", "contentinfo", "complementary", "article", "figure", "alert", "status", "tabpanel", "menu", "tree", "canvas", "video", "audio", "group"]);
  const INPUTS = {button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton", search: "searchbox", file: "file"};
  const TAGS = {
    A: el => el.hasAttribute("href") ? "link" : "", AREA: el => el.hasAttribute("href") ? "link" : "",
    BUTTON: "button", SUMMARY: "button", TEXTAREA: "textbox", SELECT: el => el.multiple || el.size > 1 ? "listbox" : "combobox",
    INPUT: el => el.type === "hidden" ? "" : el.getAttribute("list") ? "combobox" : INPUTS[el.type] || "textbox",
    OPTION: "option", OPTGROUP: "group", H1: "heading", H2: "heading", H3: "heading", H4: "heading", H5: "heading", H6: "heading",
    UL: "list", OL: "list", MENU: "list", LI: "listitem", DL: "list", DT: "term", DD: "definition",
    TABLE: "table", TR: "row", TD: "cell", TH: el => el.scope === "row" ? "rowheader" : "columnheader", CAPTION: "caption",
    NAV: "navigation", MAIN: "main", ASIDE: "complementary", ARTICLE: "article", SEARCH: "search",
    HEADER: el => scoped(el) ? "" : "banner", FOOTER: el => scoped(el) ? "" : "contentinfo",
    SECTION: el => labelled(el) ? "region" : "", FORM: "form", FIELDSET: "group", DETAILS: "group", DIALOG: "dialog",
    IMG: el => el.getAttribute("alt") === "" ? "presentation" : "img", SVG: "img", FIGURE: "figure", IFRAME: "iframe", FRAME: "iframe",
    CANVAS: "canvas", VIDEO: "video", AUDIO: "audio", PROGRESS: "progressbar", METER: "meter", OUTPUT: "status",
    P: "paragraph", BLOCKQUOTE: "blockquote", PRE: "code", HR: "separator",
  };
  const scoped = el => el.parentElement !== null && el.parentElement.closest("article,aside,main,nav,section") !== null;
  const labelled = el => el.hasAttribute("aria-label") || el.hasAttribute("aria-labelledby") || el.hasAttribute("title");
  const flat = text => text.replace(/[\s\u200b\ufeff]+/g, " ");
  const cut = (text, limit) => text.length > limit ? text.slice(0, limit).trimEnd() + "…" : text;
  const quoted = text => JSON.stringify(text);

  const numbers = new WeakMap();
  const elements = new Map();
  let last = 0;

  function roleOf(el) {
    const given = (el.getAttribute("role") || "").trim().split(/\s+/)[0].toLowerCase();
    if (given === "none" || given === "presentation") return "presentation";
    if (given === "image") return "img";
    if (given && given !== "generic") return /^[a-z]{1,30}$/.test(given) ? given : "";
    const known = TAGS[el.tagName.toUpperCase()];
    const role = typeof known === "function" ? known(el) : known || "";
    if (role) return role;
    return el.isContentEditable && !(el.parentElement && el.parentElement.isContentEditable) ? "textbox" : "";
  }

  function hidden(el, style) {
    if (SKIPPED.has(el.tagName) || el.getAttribute("aria-hidden") === "true" || el.inert) return true;
    if (style.display === "none") return true;
    return style.display !== "contents" && el.checkVisibility && !el.checkVisibility();
  }

  function* childrenOf(el) {
    if (el.tagName === "SLOT" && el.assignedNodes) {
      const assigned = el.assignedNodes();
      if (assigned.length) { yield* assigned; return; }
    }
    if (el.shadowRoot) { yield* el.shadowRoot.childNodes; return; }
    yield* el.childNodes;
  }

  // The text of an element as it is read, at most `limit` characters.
  function textOf(el, limit, except) {
    const parts = [];
    let left = limit;
    const go = node => {
      if (left <= 0) return;
      if (node.nodeType === 3) { parts.push(node.data); left -= node.data.length; return; }
      if (node.nodeType !== 1 || node === except) return;
      const style = getComputedStyle(node);
      if (hidden(node, style)) return;
      const tag = node.tagName;
      const label = node.getAttribute("aria-label");
      if (node !== el && label) { parts.push(" " + label + " "); left -= label.length; return; }
      if (tag === "IMG") { const alt = node.getAttribute("alt") || ""; parts.push(alt); left -= alt.length; return; }
      if (tag === "INPUT" || tag === "SELECT" || tag === "TEXTAREA") return;
      if (tag === "BR") { parts.push(" "); return; }
      const block = !INLINE.has(style.display);
      if (block) parts.push(" ");
      for (const child of childrenOf(node)) go(child);
      if (block) parts.push(" ");
    };
    go(el);
    return cut(flat(parts.join("")).trim(), limit);
  }

  function nameOf(el, role) {
    const by = el.getAttribute("aria-labelledby");
    if (by) {
      const root = el.getRootNode();
      const said = by.split(/\s+/).map(id => root.getElementById ? root.getElementById(id) : null).filter(Boolean)
        .map(other => other.getAttribute("aria-label") || textOf(other, NAME_CHARS)).join(" ").trim();
      if (said) return cut(said, NAME_CHARS);
    }
    const label = flat(el.getAttribute("aria-label") || "").trim();
    if (label) return cut(label, NAME_CHARS);
    const tag = el.tagName;
    if (tag === "INPUT" && ["button", "submit", "reset"].includes(el.type)) return el.value || {submit: "Submit", reset: "Reset"}[el.type] || "";
    if (tag === "IMG" || tag === "AREA" || (tag === "INPUT" && el.type === "image")) { const alt = flat(el.getAttribute("alt") || "").trim(); if (alt) return cut(alt, NAME_CHARS); }
    if (el.labels && el.labels.length) {
      const said = [...el.labels].map(each => textOf(each, NAME_CHARS, el)).filter(Boolean).join(" ");
      if (said) return cut(said, NAME_CHARS);
    }
    const first = {FIELDSET: "legend", TABLE: "caption", FIGURE: "figcaption", DETAILS: "summary"}[tag];
    if (first) { const found = el.querySelector(":scope > " + first); if (found) return textOf(found, NAME_CHARS); }
    if (tag.toUpperCase() === "SVG") { const found = el.querySelector(":scope > title"); if (found) return cut(flat(found.textContent).trim(), NAME_CHARS); return ""; }
    if (FROM_CONTENT.has(role)) { const said = textOf(el, NAME_CHARS); if (said) return said; }
    const title = flat(el.getAttribute("title") || el.getAttribute("placeholder") || el.getAttribute("aria-placeholder") || "").trim();
    return cut(title, NAME_CHARS);
  }

  function clickable(el, style) {
    if (el.hasAttribute("onclick") || (el.hasAttribute("tabindex") && el.tabIndex >= 0)) return true;
    if (style.cursor !== "pointer") return false;
    const parent = el.parentElement;
    return parent === null || getComputedStyle(parent).cursor !== "pointer";
  }

  function stateOf(el, role) {
    const said = [];
    const aria = name => el.getAttribute("aria-" + name);
    if (role === "heading") said.push(`level=${aria("level") || (/^H[1-6]$/.test(el.tagName) ? el.tagName[1] : 2)}`);
    if (el.indeterminate || aria("checked") === "mixed") said.push("checked=mixed");
    else if (el.tagName === "INPUT" && (role === "checkbox" || role === "radio") ? el.checked : aria("checked") === "true") said.push("checked");
    if (aria("expanded") === "true" || (el.tagName === "SUMMARY" && el.parentElement && el.parentElement.open)) said.push("expanded");
    else if (aria("expanded") === "false" || (el.tagName === "SUMMARY" && el.parentElement && el.parentElement.tagName === "DETAILS")) said.push("collapsed");
    if (aria("selected") === "true" || (el.tagName === "OPTION" && el.selected)) said.push("selected");
    if (aria("pressed") === "true") said.push("pressed");
    if (aria("current") && aria("current") !== "false") said.push("current");
    if (el.disabled || aria("disabled") === "true") said.push("disabled");
    if (el.required || aria("required") === "true") said.push("required");
    if (aria("invalid") === "true") said.push("invalid");
    if (ACTIVE.has(role) && el.getRootNode().activeElement === el) said.push("focused");
    return said;
  }

  function valueOf(el, role) {
    if (role === "file") return [...(el.files || [])].map(file => file.name).join(", ");
    if (el.tagName === "INPUT" && el.type === "password") return "•".repeat(el.value.length);
    if (el.tagName === "INPUT" && !["checkbox", "radio", "button", "submit", "reset", "image"].includes(el.type)) return flat(el.value || "");
    if (el.tagName === "TEXTAREA") return flat(el.value || "");
    if (role === "textbox" && el.isContentEditable) return textOf(el, NAME_CHARS);
    if (["slider", "progressbar", "meter", "spinbutton"].includes(role)) return String(el.value ?? el.getAttribute("aria-valuenow") ?? "");
    return "";
  }

  function refer(el, role, name) {
    let number = numbers.get(el);
    const known = number && elements.get(number);
    if (!known || known.role !== role || known.name !== name) {
      number = ++last;
      numbers.set(el, number);
    }
    elements.set(number, {el: new WeakRef(el), role, name});
    return number;
  }

  // Lines in the order of the document. Stops when `chars` or `nodes` are reached, and says where it would go on.
  function walk(options) {
    const {root, prefix, chars, skip, visits, depth: deepest, interactive, match} = options;
    const limit = match ? match.limit : Infinity;
    const pattern = match && match.regex ? new RegExp(match.regex, "i") : null;
    const wantedText = match && match.text ? match.text.toLowerCase() : null;
    const wantedName = match && match.name ? match.name.toLowerCase() : null;
    const lines = [], refs = [], frames = [], trail = [];
    let used = 0, index = 0, visited = 0, muted = 0, more = false;

    function emit(depth, head, el, role, name, want, tail) {
      // true: go on below
      if (more) return false;
      if (index++ < skip) return true;
      const number = want ? refer(el, role, name) : 0;
      const line = head + (number ? ` [ref=${prefix}e${number}]` : "") + tail;
      if (used + line.length + 2 * depth + 3 > chars || lines.length >= limit) { more = true; index--; return false; }
      used += line.length + 2 * depth + 3;
      lines.push([depth, line]);
      if (number) refs.push([number, role, name]);
      return true;
    }

    function matches(role, name, text) {
      if (match.role && match.role !== role) return false;
      if (wantedName !== null && !name.toLowerCase().includes(wantedName)) return false;
      if (wantedText !== null && !text.toLowerCase().includes(wantedText)) return false;
      if (pattern !== null && !pattern.test(text)) return false;
      return true;
    }

    function say(depth, text, el) {
      const whole = flat(text).trim();
      if (!whole || interactive) return;
      const said = quoted(cut(whole, TEXT_CHARS));
      if (match) {
        if (match.role || wantedName !== null || !matches("text", "", whole)) return;
        const role = roleOf(el), name = nameOf(el, role);
        emit(0, `${role || "text"} ${said}`, el, role, name, true, trail.length ? ` in ${trail.slice(-3).join(" > ")}` : "");
        return;
      }
      emit(depth, `text: ${said}`, null, "", "", false, "");
    }

    const plain = el => {
      for (const child of childrenOf(el)) {
        if (child.nodeType !== 1) continue;
        if (roleOf(child) || child.shadowRoot || child.tagName === "SLOT" || child.hasAttribute("onclick") || getComputedStyle(child).cursor === "pointer" || !plain(child)) return false;
      }
      return true;
    };

    function children(el, depth, texts) {
      let run = "";
      const flush = () => { if (texts && run) say(depth, run, el); run = ""; };
      const go = node => {
        if (more) return;
        if (node.nodeType === 3) { if (!muted) run += node.data; return; }
        if (node.nodeType !== 1) return;
        if (++visited > visits) { more = true; return; }
        const style = getComputedStyle(node);
        if (hidden(node, style)) return;
        const role = roleOf(node);
        if (node.tagName === "BR") { run += " "; return; }
        const seen = style.visibility !== "hidden" && style.visibility !== "collapse";
        const active = seen && clickable(node, style);
        if (!role || role === "presentation" || (role === "paragraph" && interactive)) {
          if (active && !node.closest("label")) { flush(); element(node, "generic", style, depth, true); return; }
          const block = !INLINE.has(style.display);
          const labels = node.tagName === "LABEL" && node.control !== null;  // its text is the name of its control
          if (block) flush();
          muted += labels;
          for (const child of childrenOf(node)) { if (child.nodeType !== 3 || seen) go(child); }
          muted -= labels;
          if (block) flush();
          return;
        }
        if (!seen) { for (const child of childrenOf(node)) if (child.nodeType === 1) go(child); return; }
        flush();
        element(node, role, style, depth, active);
      };
      for (const child of childrenOf(el)) go(child);
      flush();
    }

    function element(el, role, style, depth, active) {
      if (more) return;
      const isActive = ACTIVE.has(role) || active;
      const name = role === "generic" ? textOf(el, NAME_CHARS) : nameOf(el, role);
      const named = name ? ` ${quoted(name)}` : "";
      if (role === "img" && !name && !active) return;
      const shown = interactive ? isActive || role === "iframe" || role === "dialog" || role === "alertdialog" : true;
      const referred = isActive || (STRUCTURE.has(role) && (role !== "list" && role !== "group" && role !== "figure" || name !== ""));
      const state = stateOf(el, role).map(each => ` [${each}]`).join("");
      const href = role === "link" ? el.getAttribute("href") : null;
      const url = href ? ` [url=${cut(href, NAME_CHARS).replace(/[\s\]"]/g, encodeURIComponent)}]` : "";
      const value = valueOf(el, role);
      const head = role + named + state;
      let below = depth;
      const leaf = ["img", "separator", "progressbar", "meter", "slider", "spinbutton", "searchbox", "file"].includes(role) || ["INPUT", "TEXTAREA"].includes(el.tagName);
      if (match) {
        const text = FROM_CONTENT.has(role) || role === "generic" ? name : [name, value].join(" ");
        const whole = (wantedText === null && pattern === null) || text ? text : "";
        if (matches(role, name, whole)) emit(0, head, el, role, name, true, url + (value ? `: ${quoted(value)}` : "") + (trail.length ? ` in ${trail.slice(-3).join(" > ")}` : ""));
        trail.push(role + named);
        if (!leaf) children(el, 0, !(FROM_CONTENT.has(role) || role === "generic"));
        trail.pop();
        return;
      }
      if (role === "row" && !interactive && !active) {
        const cells = [...el.children].filter(cell => !hidden(cell, getComputedStyle(cell)));
        if (cells.every(plain)) {
          emit(depth, `row: ${quoted(cells.map(cell => textOf(cell, NAME_CHARS)).join(" | "))}`, el, role, "", false, "");
          return;
        }
      }
      if (shown) {
        let tail = url + (value ? `: ${quoted(cut(value, TEXT_CHARS))}` : "");
        let done = leaf;
        if (!leaf && !tail && !FROM_CONTENT.has(role) && role !== "generic" && role !== "iframe" && role !== "combobox" && role !== "listbox" && !el.shadowRoot && plain(el)) {
          const text = textOf(el, TEXT_CHARS);
          if (text && text !== name) tail = `: ${quoted(text)}`;
          done = true;
        }
        if (!emit(depth, head, el, role, name, referred || role === "iframe", tail)) return;
        below = depth + 1;
        if (role === "iframe") { if (index > skip && lines.length) frames.push([lines.length, depth + 1, numbers.get(el)]); return; }
        if (done) return;
      }
      if (deepest !== null && below > deepest) return;
      if (el.tagName === "SELECT") {
        const options = [...el.options];
        for (const option of options.slice(0, OPTIONS)) {
          const said = option.selected ? " [selected]" : "";
          if (!emit(below, `option ${quoted(flat(option.label || option.text).trim())}${said}${option.disabled ? " [disabled]" : ""}`, option, "option", "", false, "")) return;
        }
        if (options.length > OPTIONS) emit(below, `text: ${quoted(`${options.length - OPTIONS} more options`)}`, el, "", "", false, "");
        return;
      }
      children(el, below, !(FROM_CONTENT.has(role) || role === "generic"));
    }

    const total = document.getElementsByTagName("*").length;
    const start = root ? element_of(root) : document.body || document.documentElement;
    if (start === null) return {lines, refs, frames, total, title: document.title, next: null, gone: true};
    if (root) element(start, roleOf(start) || "generic", getComputedStyle(start), 0, true);
    else children(start, 0, true);
    return {lines, refs, frames, total, visited, title: document.title, next: more ? index : null, gone: false};
  }

  function element_of(number) {
    const known = elements.get(number);
    const el = known && known.el.deref();
    return el && el.isConnected ? el : null;
  }

  // The element of a reference if it is still there and still what it was.
  function resolve(number) {
    const el = element_of(number);
    if (el === null) return null;
    const known = elements.get(number);
    const role = roleOf(el);
    if (known.role !== role && known.role !== "generic") return null;
    const name = known.role === "generic" ? textOf(el, NAME_CHARS) : nameOf(el, role);
    return name === known.name ? el : null;
  }

  function described(el) {
    const role = roleOf(el) || "generic";
    const name = role === "generic" ? textOf(el, NAME_CHARS) : nameOf(el, role);
    return {number: refer(el, role, name), role, name};
  }

  // Numbered boxes over what is referred to and in view; the second call takes them away.
  let marks = null;
  function mark(prefix) {
    if (marks) { marks.remove(); marks = null; return []; }
    marks = document.createElement("div");
    const inner = marks.attachShadow({mode: "closed"});
    const shown = [];
    for (const [number, known] of elements) {
      const el = element_of(number);
      if (el === null || numbers.get(el) !== number || !(ACTIVE.has(known.role) || known.role === "generic")) continue;
      const box = el.getBoundingClientRect();
      if (box.width < 2 || box.height < 2 || box.bottom < 0 || box.right < 0 || box.top > innerHeight || box.left > innerWidth) continue;
      const frame = document.createElement("div");
      frame.style.cssText = `all:initial;position:fixed;left:${box.left}px;top:${box.top}px;width:${box.width}px;height:${box.height}px;box-sizing:border-box;outline:2px solid #d0021b;z-index:2147483647;pointer-events:none`;
      const label = document.createElement("span");
      label.textContent = `${prefix.includes("f") ? prefix.slice(prefix.indexOf("f")) : ""}e${number}`;
      label.style.cssText = "all:initial;position:absolute;left:0;top:0;font:bold 11px monospace;color:#fff;background:#d0021b;padding:0 2px;pointer-events:none";
      frame.append(label);
      inner.append(frame);
      shown.push([number, Math.round(box.left), Math.round(box.top), Math.round(box.width), Math.round(box.height)]);
    }
    marks.style.cssText = "all:initial;position:fixed;left:0;top:0;z-index:2147483647;pointer-events:none";
    (document.body || document.documentElement).append(marks);
    return shown;
  }

  return {walk, resolve, described, mark};
}
