import { parentPort, workerData } from "node:worker_threads";
import { readText, type TextToRead } from "./read-text.ts";

// A thread that reads one long text of rules, answers, and ends.
parentPort?.postMessage(readText(workerData as TextToRead));
