// The LSTM view: one cursor, a step and a unit, through everything that a recurrent layer did.
import { widget } from "../shared/mount";
import { App } from "./app";
import "./lstm.css";

export default widget(App, "flowlab recurrent layer");
