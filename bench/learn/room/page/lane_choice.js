// Which stacks are the lanes: a list for each of them, in a dialog.
import { make } from "/lanes/lanes.js";

const MOST_LANES = 4;

export class LaneChoice {
  constructor(dialog, stacks, change) {
    Object.assign(this, { dialog, change });
    this.lists = Array.from({ length: MOST_LANES }, (_, index) => {
      const list = make("select", { ariaLabel: `lane ${index + 1}` });
      list.append(make("option", { value: "", textContent: "none" }), ...stacks.map((name) => make("option", { value: name, textContent: name })));
      list.onchange = () => this.choose();
      return list;
    });
    dialog.append(make("h2", { textContent: "Lanes" }), ...this.lists, make("p", { textContent: "The thread budget is the slider's. Esc closes." }));
  }

  choose() {
    const lanes = this.lists.map((list) => list.value).filter(Boolean);
    if (lanes.length) this.change({ lanes });
  }

  toggle() {
    if (this.dialog.open) return this.dialog.close();
    this.lists.forEach((list, index) => (list.value = this.known(list, this.lanes?.[index] ?? "")));
    this.dialog.showModal();
  }

  // A budget is not part of the list: any stack of that lab and server stands for it.
  known(list, name) {
    const kind = name.split(":")[0];
    return [...list.options].map(({ value }) => value).find((value) => value === name || (kind && value.split(":")[0] === kind)) ?? "";
  }

  show({ settings }) {
    this.lanes = settings.lanes;
  }
}
