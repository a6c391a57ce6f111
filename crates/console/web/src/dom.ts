// DOM helpers, in place of a framework.

/** Returns an element of index.html. Throws if it is missing: that is a mistake in this page. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const target = document.getElementById(id);
  if (!(target instanceof kind)) {
    throw new Error(`the page has no ${kind.name} with the id ${id}`);
  }
  return target;
}

/** Creates an element. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    created.setAttribute(name, value);
  }
  created.append(...children);
  return created;
}

/**
 * Sets the text only if it changed: otherwise screen readers would repeat it and a selection would
 * be lost.
 */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

export function show(target: HTMLElement, shown: boolean): void {
  target.hidden = !shown;
}
