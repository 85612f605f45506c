// The convolution view: one window, from what it sees to what it makes, and on through every layer.
import { widget } from "../shared/mount";
import { App } from "./app";
import "./conv.css";

export default widget(App, "flowlab convolution");
