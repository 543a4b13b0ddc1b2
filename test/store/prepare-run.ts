/** Prepares the store of the folder given, and never opens it. */
import { SqliteStore } from "../../src/store/sqlite/store.ts";

new SqliteStore({ folder: process.argv[2]! }).prepare();
// By now the thread waits.
setTimeout(() => console.log("prepared"), 300);
