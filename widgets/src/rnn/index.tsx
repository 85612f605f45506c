// The view of an unrolled network: the loop, its copies over the timesteps, and the way back through every use of its weights.
import { widget } from "../shared/mount";
import { App } from "./app";
import "./rnn.css";

export default widget(App, "flowlab unrolled network");
