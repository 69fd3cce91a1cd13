declare const brand: unique symbol;

/** Marks a string that one parser has checked, so that an unchecked one does not compile in its place. */
export interface Brand<Name extends string> {
  readonly [brand]: Name;
}
