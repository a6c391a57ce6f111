// The page's texts in the agent's language. The console program puts them into the page, from the
// message files that the launcher has its texts from too (crates/texts).

/** The labels of a code in the customer's window. */
export interface CodeLabels {
  /** ISO 639-1 code. */
  language: string;
  id: string;
  password: string;
  session_code: string;
}

interface PageTexts {
  language: string;
  /** By their keys: `bar.fit`. */
  texts: Record<string, string>;
  /** Of the customer's windows, in each language. */
  labels: CodeLabels[];
}

/** A sentence by its key, with the values of its placeholders. */
export interface Message {
  key: string;
  values?: Record<string, string>;
}

let current: PageTexts = { language: "en", texts: {}, labels: [] };

export function setTexts(texts: PageTexts): void {
  current = texts;
}

export function language(): string {
  return current.language;
}

export function codeLabels(): readonly CodeLabels[] {
  return current.labels;
}

/** Returns a text, its placeholders filled. */
export function t(key: string, values: Readonly<Record<string, string | number>> = {}): string {
  const text = current.texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** Returns the text for a number of things: `key-one`, or `key-many` with `{n}`. */
export function plural(key: string, n: number): string {
  return t(n === 1 ? `${key}-one` : `${key}-many`, { n });
}

export function say(message: Message): string {
  return t(message.key, message.values);
}

/** Fills the texts of index.html: what is in an element, its tooltip, and its name. */
export function fillPage(): void {
  const fill = (attribute: string, set: (target: HTMLElement, text: string) => void): void => {
    for (const target of document.querySelectorAll<HTMLElement>(`[${attribute}]`)) {
      set(target, t(target.getAttribute(attribute) ?? ""));
    }
  };
  fill("data-text", (target, text) => { target.textContent = text; });
  fill("data-tip", (target, text) => { target.title = text; });
  fill("data-label", (target, text) => target.setAttribute("aria-label", text));
}
