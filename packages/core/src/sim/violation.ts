/** A property that did not hold. `property` is its name, for counting and for shrinking towards the same one. */
export class Violation extends Error {
  override readonly name = 'Violation';

  constructor(
    readonly property: string,
    detail: string,
  ) {
    super(`${property}: ${detail}`);
  }
}
