// A text that grows token by token, and what a model says next: {ids, logits, dist(), push, truncate, follow, clone}.
//
// Whoever decodes needs nothing else of a model. `logits` are computed when somebody asks for them, and are a new array
// each time. push, truncate and follow return the session itself.
import { softmax } from './filters.js';

class GrowingText {
  ids = [];
  row = null; // the logits, once somebody has asked

  // P(next token | ids), V numbers that sum to 1.
  dist() {
    return softmax(this.logits);
  }

  get logits() {
    return (this.row ??= this.computeLogits());
  }
}

// Of a transformer. Keys and values of earlier tokens never change, so they are kept, in the `memory`: a new token
// costs the work of one token, whatever stands before it.
export class CachedSession extends GrowingText {
  constructor(model, memory = model.newMemory()) {
    super();
    Object.assign(this, { model, memory });
    if (memory.length === 0 && model.start.length) model.read(model.start, memory);
  }

  push(id) {
    this.model.read([id], this.memory);
    this.ids.push(id);
    this.row = null;
    return this;
  }

  truncate(length) {
    this.ids.length = Math.min(this.ids.length, Math.max(length, 0));
    this.memory.length = this.model.start.length + this.ids.length;
    this.row = null;
    return this;
  }

  // Makes `ids` the text. What it shares with the text so far isn't read again; where `ids` are wrong nothing changes.
  follow(ids) {
    let same = 0;
    while (same < this.ids.length && this.ids[same] === ids[same]) same++;
    const added = ids.slice(same);
    this.model.check(added, this.model.start.length + same);
    if (same < this.ids.length) this.truncate(same);
    for (const id of added) this.push(id);
    return this;
  }

  clone() {
    const { length, keys, values, hidden } = this.memory;
    const copies = (arrays) => arrays.map((array) => array.slice());
    const twin = new CachedSession(this.model, {
      length,
      keys: copies(keys),
      values: copies(values),
      hidden: hidden.slice(),
    });
    twin.ids = [...this.ids];
    return twin;
  }

  computeLogits() {
    const { model, memory } = this;
    if (memory.length === 0) throw new RangeError('the model predicts from what stands there: it needs a token');
    return model.unembed(memory.hidden, memory.length - 1);
  }
}

// Of a model that looks its distribution up: it has no cache, and needs none.
export class TableSession extends GrowingText {
  constructor(model, ids) {
    super();
    this.model = model;
    this.follow(ids);
  }

  push(id) {
    return this.follow([...this.ids, id]);
  }

  truncate(length) {
    return this.follow(this.ids.slice(0, Math.max(length, 0)));
  }

  follow(ids) {
    this.model.check(ids);
    this.ids = [...ids];
    this.row = null;
    return this;
  }

  clone() {
    return new TableSession(this.model, this.ids);
  }

  // Log-probabilities are logits: softmax leaves them as they are.
  computeLogits() {
    return this.model.dist(this.ids).map(Math.log);
  }
}
