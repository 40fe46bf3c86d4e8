// Run a TensorFlow.js graph on one RGB picture by TensorFlow.js itself, on its plain CPU backend.
//
//   node run_tfjs_graph.mjs STEM PICTURE.raw HEIGHT WIDTH
//
// STEM.json and STEM.bin are the graph; the output's values are printed as JSON.
import fs from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import "@tensorflow/tfjs-backend-cpu";

const [stem, picture, height, width] = process.argv.slice(2);
const graph = JSON.parse(fs.readFileSync(`${stem}.json`));
const content = fs.readFileSync(`${stem}.bin`);
const weightData = content.buffer.slice(
  content.byteOffset, content.byteOffset + content.byteLength);
const weightSpecs = graph.weightsManifest.flatMap((group) => group.weights);
console.warn = console.info = () => {}; // advice to install the native backend
await tf.setBackend("cpu");
const model = await loadGraphModel({
  load: async () => ({ modelTopology: graph.modelTopology, weightSpecs, weightData }),
});
const pixels = new Int32Array(fs.readFileSync(picture));
const output = await model.executeAsync(
  tf.tensor(pixels, [1, Number(height), Number(width), 3], "int32"));
process.stdout.write(JSON.stringify(Array.from(output.dataSync())));
