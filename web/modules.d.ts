// What the scripts have from elsewhere, for the compiler that checks their types.

declare module "relief"; // scripts of the page of a result, which build.js joins
declare module "viewer";
declare module "ort"; // ONNX Runtime; build.js says which of its forms

/** Name of the runtime's files, by build.js. */
declare const RUNTIME: string;

interface Navigator {
  /** WebGPU, where the browser has it. */
  gpu?: any;
  /** Memory of the device [GB], rounded, where the browser tells it. */
  deviceMemory?: number;
}
