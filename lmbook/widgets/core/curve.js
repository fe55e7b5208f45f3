// A curve that grows for as long as a run does and never has more than MOST_POINTS points: when it is full, each two become
// their mean, and from then on a point stands for twice as many values.

const MOST_POINTS = 240;

export class Curve {
  /** @type {[step: number, value: number][]} */
  points = [];
  stride = 1;
  /** the values that aren't a point yet */
  waiting = { steps: 0, values: 0, count: 0 };

  /**
   * @param {number} step
   * @param {number} value
   */
  add(step, value) {
    const { waiting } = this;
    waiting.steps += step;
    waiting.values += value;
    waiting.count += 1;
    if (waiting.count < this.stride) return;
    this.points.push([waiting.steps / waiting.count, waiting.values / waiting.count]);
    this.waiting = { steps: 0, values: 0, count: 0 };
    if (this.points.length < MOST_POINTS) return;
    const halves = this.points.filter((_, i) => i % 2 === 0);
    this.points = halves.map(([step, value], i) => {
      const [otherStep, otherValue] = this.points[2 * i + 1];
      return [(step + otherStep) / 2, (value + otherValue) / 2];
    });
    this.stride *= 2;
  }
}
