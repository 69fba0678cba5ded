/** The graph is good and ONNX Runtime runs it; it is only not one that the tree walk can. The message says why. */
export class NoTrees extends Error {}
