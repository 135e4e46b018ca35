/** What functions printed: the explorer. */

import { h } from "../dom.js";
import { logView } from "../logview.js";

export default function logs(page) {
  page.title("Logs");
  return h("div.page", {}, h("div.head", {}, h("h1", {}, "Logs")), logView(page));
}
