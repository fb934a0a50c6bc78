// Reads KEDA's ScaledObjects as a JSON array from standard input, and prints what is wrong with them, one a line.
import { readFileSync } from "node:fs";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";

for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    new ScaledObject(document).validate();
  } catch (error) {
    console.log(`${document.metadata?.name}: ${error.message}`);
  }
}
